"""What a server may say that is no answer to what it was asked."""

from typing import Final

REPLIES: Final[dict[str, bytes]] = {
    "no number": b":x\r\n",
    "a number of 4,000 digits": b":" + b"9" * 4_000 + b"\r\n",
    "a number of 5,000 digits": b":" + b"9" * 5_000 + b"\r\n",
    "no length": b"$abc\r\n",
    "a negative length": b"$-5\r\n",
    "a negative count": b"*-7\r\n",
    "a count without end": b"*1000000000\r\n" + b":1\r\n" * 1_000,
    "nested 3,000 deep": b"*1\r\n" * 3_000 + b":1\r\n",
    "an HTTP answer": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "an error of 100 kB": b"-ERR " + b"x" * 100_000 + b"\r\n",
    "an error of 60 kB": b"-" + b"A" * 60_000 + b" \x1b[31m\r\n",
    "an error in a list": b"*2\r\n-ERR nested\r\n:1\r\n",
    "a redirection to nowhere": b"-MOVED x\r\n",
    "a nil": b"$-1\r\n",
    "an empty list": b"*0\r\n",
    "an empty text": b"$0\r\n\r\n",
    "bytes": b"\x00\xff\xfe\x80\r\n",
    "a word": b"+\xff\xfe\r\n",
    "half an answer": b"$100\r\nhalf",
    "two answers": b"+OK\r\n+OK\r\n",
    "a refusal that is unknown": b"*1\r\n$5\r\nHMMMM\r\n",
    "a lease with words for numbers": b"*6\r\n$5\r\nLEASE\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n$1\r\nx\r\n",
    "a lease without end": b"*6\r\n$5\r\nLEASE\r\n:1\r\n:%b\r\n:1\r\n$0\r\n\r\n:1\r\n" % (b"9" * 400),
    "nothing": b"\r\n",
}
