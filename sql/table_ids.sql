-- The InnoDB ids of a database's tables: "t=18/p#P#p0=20/p#P#p1=21", names as the server spells its files.
-- Only with PROCESS does the server show them; here that is asked of the account that installed, so that
-- the agent's own account does not need it.
CREATE OR REPLACE FUNCTION table_ids(d VARCHAR(64) CHARACTER SET utf8mb4)
RETURNS LONGTEXT CHARACTER SET utf8mb4 READS SQL DATA SQL SECURITY DEFINER
RETURN (SELECT GROUP_CONCAT(SUBSTRING_INDEX(NAME, '/', -1), '=', TABLE_ID ORDER BY NAME SEPARATOR '/')
FROM information_schema.INNODB_SYS_TABLES
WHERE CAST(SUBSTRING_INDEX(NAME, '/', 1) AS BINARY) = CAST(CONVERT(d USING filename) AS BINARY))
