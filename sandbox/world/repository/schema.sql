-- The shop's schema as v1.3.0 made it.
CREATE TABLE products (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    price bigint NOT NULL,
    old_price bigint
);

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product bigint NOT NULL,
    quantity bigint NOT NULL DEFAULT 1,
    total integer NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE schema_versions (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO products (id, name, price, old_price) VALUES (1, 'Anvil', 4900, 5200), (2, 'Tongs', 1900, NULL);
INSERT INTO orders (product, quantity, total) SELECT 1 + n % 2, 1 + n % 3, (CASE n % 2 WHEN 0 THEN 4900 ELSE 1900 END) * (1 + n % 3) FROM generate_series(1, 300) AS n;
