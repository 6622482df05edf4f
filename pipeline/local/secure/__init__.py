"""TLS, logins and permissions of a secured local Kafka: what is in the folder of its users."""
