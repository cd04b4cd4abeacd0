SELECT 1 - count(*) FROM information_schema.columns
WHERE table_name = 'products' AND column_name = 'old_price'
