"""A light module that prints and raises as it is imported."""

print("noise from acme-broken")
raise RuntimeError("the cards of acme-broken are broken")
