SELECT count(*) FROM information_schema.columns
WHERE table_name = 'products' AND column_name = 'discount_percent'
