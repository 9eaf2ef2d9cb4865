-- Ids of sync_queue. A sequence and not AUTO_INCREMENT: no table lock to the end of the app's
-- statement, no leak of INSERT_ID or auto_increment_increment. A crash skips at most one cache.
CREATE SEQUENCE IF NOT EXISTS sync_sequence CACHE 1000 ENGINE=InnoDB
