"""The health of a checkpoint: findings with a severity, each from one rule (`engine.health.rules`)."""
