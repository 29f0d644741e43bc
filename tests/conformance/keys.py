"""Keys that URLs, XML, file systems and careless code trip over."""

from hypothesis import strategies as st

ODD_KEYS = [
    "plain.txt",
    "a//b",
    "//",
    "/leading",
    "//leading-twice",
    "trailing/",
    "trailing//",
    "dots/../up",
    "dots/./here",
    "../out",
    "./here",
    ".hidden",
    "dots/..",
    "q?uestion",
    "pinned?versionId=1",
    "pinned?versionId=",
    "ha#sh",
    "per%cent",
    "escaped%2Fslash",
    "twice%252F",
    "broken%zz%",
    "sp ace",
    " edges ",
    "pl+us",
    "quote'd",
    'double"d',
    "<key>&amp;</key>",
    "]]>",
    "<![CDATA[x]]>",
    "&#10;",
    "semi;colon,comma",
    "at@home:80",
    "eq=ual&amp",
    "back\\slash",
    "tilde~!$*()",
    "brackets[]{}|^`",
    "tab\there",
    "control\x01\x02\x1f\x7f",
    "high\x80\x9f",
    "é composed",
    "e\u0301 combined",
    "\N{CJK UNIFIED IDEOGRAPH-4E2D}\N{CJK UNIFIED IDEOGRAPH-6587}",
    "\N{RIGHT-TO-LEFT OVERRIDE}mark",
    "line\u2028separator",
    "\ufeffmark",
    "\uffff",
    "\U0001f600 astral",
    "\U0010ffff",
    "k" * 1000,
    "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 333,
    "deep/" * 199 + "leaf",
]

# Letters that sort around the "/", and pieces that mean something to somebody.
_PIECES = ["a", "b", "0", "-", ".", "/", "/", " ", "+", "%", "%2F", "?", "#", "&", "<", '"', "'", "\t", "\x7f"]
_PIECES += ["é", "\N{CJK UNIFIED IDEOGRAPH-4E2D}", "\uffee", "\U0001f600"]
KEYS = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=8).map("".join)
KEY_SETS = st.lists(KEYS, min_size=1, max_size=12, unique=True)
