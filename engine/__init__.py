"""The science of Weightscope: sources, measures, heatmaps. Knows no screen and no database."""
