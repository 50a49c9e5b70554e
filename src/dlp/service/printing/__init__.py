"""The queues around the gate: made, locked, checked and given back. Every change of CUPS is made here."""
