"""Do the brokers' own SDKs read the same bytes as ours do, and to the same values?"""
