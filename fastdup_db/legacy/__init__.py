"""The functions of fastdup up to 1.0, thin over the controller: existing scripts run by changing one import."""
