SELECT count(*) FROM information_schema.columns
WHERE table_name = 'orders' AND column_name = 'total' AND data_type = 'bigint'
