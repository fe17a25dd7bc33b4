"""What is checked of the stack, one module a subject: each function prints what it saw, or raises Failed."""
