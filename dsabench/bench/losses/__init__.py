"""What selecting k keys loses against dense attention: inputs, selections, mass, error."""
