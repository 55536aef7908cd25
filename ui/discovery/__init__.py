"""The Discovery page, part by part."""
