"""Call credentials for gRPC APIs of the same OAuth domain. `mintonce[grpc]` names what it needs, which is grpcio."""

import grpc

from mintonce.aio_source import AsyncTokenSource
from mintonce.errors import MintonceError
from mintonce.source import TokenSource


class MintonceMetadataPlugin(grpc.AuthMetadataPlugin):
    """Adds `authorization: Bearer …` to each call. Reads memory only and never waits.

    After an UNAUTHENTICATED, call `source.reject(token)` and then the API again.
    """

    def __init__(self, source: TokenSource | AsyncTokenSource) -> None:
        self._source = source

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        try:
            header = self._source.token().header
        except MintonceError as error:
            callback((), error)
        else:
            callback((("authorization", header),), None)


def call_credentials(source: TokenSource | AsyncTokenSource) -> grpc.CallCredentials:
    """For `grpc.composite_channel_credentials` or `credentials=` of a call. gRPC sends them over TLS or locally."""
    return grpc.metadata_call_credentials(MintonceMetadataPlugin(source), name="mintonce")
