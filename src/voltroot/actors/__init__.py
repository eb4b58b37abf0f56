"""The market roles of Plug & Charge and what each may do."""
