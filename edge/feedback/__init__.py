"""What a person sees and hears: the result on lamps and buzzer, the words for each code, aiming hints."""
