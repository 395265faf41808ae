"""Runs on several machines: Dagster's runs as tasks of Celery. Needs the extra `scale`; nothing else imports it."""
