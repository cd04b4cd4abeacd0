-- What the shop asks of its database. One statement after each name.
-- name: list the products
SELECT id, name, price FROM products ORDER BY id;
-- name: place an order
INSERT INTO orders (product, quantity, total) SELECT id, 2, price * 2 FROM products WHERE id = 1;
-- name: tell the turnover
SELECT product, count(*), sum(total) FROM orders GROUP BY product;
