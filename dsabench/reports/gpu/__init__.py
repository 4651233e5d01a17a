"""The state of a GPU while its trials were timed: clocks and power, cold and warm inputs, predictions."""
