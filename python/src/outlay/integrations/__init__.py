"""What Outlay puts round other packages; each module needs its package only to instrument it."""
