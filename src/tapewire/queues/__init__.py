"""Market Data Queues (MDQ): the contract, its in-memory twin, RabbitMQ."""
