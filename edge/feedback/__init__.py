"""What a person sees and hears: signals of lamps and buzzer, messages for codes, aiming hints."""
