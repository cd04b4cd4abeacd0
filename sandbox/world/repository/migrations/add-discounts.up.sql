SET lock_timeout = '2s';
SET statement_timeout = '30s';
ALTER TABLE products ADD COLUMN IF NOT EXISTS discount_percent bigint DEFAULT 0;
UPDATE products SET discount_percent = 10 WHERE name = 'Tongs';
