"""Its text would spoil the output: half a surrogate pair, escape sequences, line ends."""
