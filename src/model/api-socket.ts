/** Where service and command line meet when the configuration does not say. */
export const DEFAULT_SOCKET = '/run/netboot/api.sock';
