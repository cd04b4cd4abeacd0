"""Reading what programs print or write: test results, load summaries. Foreign text in, plain values out; nothing is trusted."""
