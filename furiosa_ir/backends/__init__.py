"""Backends: one package a machine."""
