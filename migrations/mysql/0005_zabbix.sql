-- The host in Zabbix that gets what is told of the company's jobs; null for the scheduler's.
ALTER TABLE company ADD COLUMN zabbix_host LONGTEXT;
