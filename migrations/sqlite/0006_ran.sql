-- How long the attempt's process ran, in microseconds by its agent's clock; null if it has not
-- said.
ALTER TABLE attempt ADD COLUMN ran_us INTEGER;
