<?php

// The address that deployed pages know; rpa_proxy.php tells it by this file's name.
require __DIR__ . '/rpa_proxy.php';
