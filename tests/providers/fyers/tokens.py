"""Access tokens as Fyers makes them, for tests: nobody signed them."""

from tapewire.simulators.fyers_files import make_token

NOW_S = 1_795_000_000.0
TOKEN = make_token("HSMKEY-SECRET", NOW_S + 3600, app_id="APP-100")
JWT = TOKEN.partition(":")[2]
