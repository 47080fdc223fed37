-- The others have indices of the jobs that have not succeeded. MariaDB and MySQL have none of
-- some rows only, and one of all would cost more with each job than it gives: `job_state`
-- stands in for them.
DO 0;
