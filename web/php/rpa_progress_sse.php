<?php

// The plan's pages ask for this address; rpa_proxy.php finds the route by this file's name in the request's path.
require __DIR__ . '/rpa_proxy.php';
