/**
 * What nodes and appliance say to each other: POST requests over HTTP/1.1 whose bodies are lines `name value…`, ended by
 * LF, in UTF-8; for a node has nothing to read JSON with (perl-base and coreutils). A name that is not known is
 * passed over, as the other side may be newer.
 */
export const IDENTITY_PATH = '/v1/identity';
export const REPORT_PATH = '/v1/report';

/** Of a request. */
export const MOST_REQUEST_BYTES = 16 * 1024;
/** Of an answer: an identity brings the files of the node. */
export const MOST_ANSWER_BYTES = 4 * 1024 * 1024;
/** Of `wait`: a node that waits reports once a minute. */
export const MOST_WAIT_SECONDS = 60;
