"""What was decided: the plan, its models and the planner."""
