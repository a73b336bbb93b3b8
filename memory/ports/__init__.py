"""What memory rents: models that embed and judge, and stores that recall elsewhere.

Each is chosen by a setting and may be away; what Verel itself keeps is right without any of them.
"""
