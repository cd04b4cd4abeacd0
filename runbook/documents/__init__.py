"""Files that people write, forge.yaml and a release's own: read in bounds, validated, every problem named at its place."""
