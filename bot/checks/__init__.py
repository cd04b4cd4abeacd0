"""The doctor's checks: each looks at one thing, changes nothing, and says cause and remedy."""
