"""What the Python library `gripcontrol` does: `publish GRIP_URL CHANNEL CONTENT` or `verify TOKEN KEY ISSUER`."""

import sys

from gripcontrol import GripPubControl, HttpStreamFormat, parse_grip_uri, validate_sig
from pubcontrol import Item


def publish(url, channel, content):
    control = GripPubControl(parse_grip_uri(url))
    control.publish(channel, Item(HttpStreamFormat(content)), blocking=True)


def verify(token, key, issuer):
    print("true" if validate_sig(token, key, issuer) else "false")


{"publish": publish, "verify": verify}[sys.argv[1]](*sys.argv[2:])
