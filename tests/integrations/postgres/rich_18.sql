-- What there is since PostgreSQL 18.
CREATE TABLE imagined (n int, doubled int GENERATED ALWAYS AS (n * 2) VIRTUAL, loose int, CONSTRAINT lax CHECK (loose > 5) NOT ENFORCED);
INSERT INTO imagined VALUES (21, DEFAULT, 1); ALTER TABLE imagined ADD CONSTRAINT partly NOT NULL loose NOT VALID;
