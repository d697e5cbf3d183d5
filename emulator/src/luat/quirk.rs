//! Oddities of Luat modems, each of them documented by a manual, a change log or a log, that can
//! be switched on one by one. This module only names them; the modem knows what they do.

use crate::quirk::quirks;

quirks! {
    /// The echo of every second command is lost, beginning with the first.
    LostEcho, "lost-echo", "the echo of every second command is lost";
    /// Data entered at the prompt of MPUBEX is echoed, even under `ATE0` (724 V301846).
    EchoData, "echo-data", "data entered for MPUBEX is echoed, even under ATE0 (old 724)";
    /// The prompt is `> ` instead of `>`.
    PromptSpace, "prompt-space", "the prompt is '> ' instead of '>'";
    /// The prompt has a line of its own.
    PromptLine, "prompt-line", "the prompt is followed by a line end";
    /// The firmware of 2020 that has no MPUBEX (724 V409).
    NoMpubex, "no-mpubex", "firmware V409 of the 724: there is no AT+MPUBEX";
    /// A counted data phase ends after five seconds of silence, as the uncounted one does.
    DataGap, "data-gap", "a counted data phase, too, ends after 5 s of silence and publishes";
    /// Unsolicited lines are held back while data is entered.
    HeldLines, "held-lines", "unsolicited lines are held back during a data phase";
    /// The limit of MPUB counts the message as it is written, escapes included.
    CountsEscaped, "counts-escaped", "the limit of MPUB counts escapes as three bytes";
    /// `AT+MPUB` with an empty message is refused.
    NoEmptyMpub, "no-empty-mpub", "AT+MPUB with an empty message is refused";
    /// Empty credentials are invalid input (765).
    NoEmptyCredentials, "no-empty-credentials", "AT+MCONFIG=..,\"\",\"\" answers 765";
    /// MCONNECT wants its third parameter (780E LPAT before V1156, 780EL_MU before V1006).
    ModeRequired, "mode-required", "AT+MCONNECT with two parameters answers ERROR";
    /// No line end after `CONNECT OK` (780E before V1121).
    GluedConnectOk, "glued-connect-ok", "the line end after CONNECT OK is missing";
    /// Unsolicited lines begin without a line end.
    NoLeadingCrlf, "no-leading-crlf", "unsolicited lines begin without CR LF";
    /// A lost network begins with a SIM line that has no line end.
    GluedSimLine, "glued-sim-line", "a lost network begins with a SIM line without line end";
    /// A connection that was closed by the server is not announced (724 before V838).
    NoClosed, "no-closed", "a lost connection is not announced by CLOSED (old 724)";
    /// A refused MCONNECT is answered by `CLOSED` instead of `ERROR`.
    RefusedCloses, "refused-closes", "a refused MCONNECT prints CLOSED instead of ERROR";
    /// A refused MCONNECT is answered by `ERROR`, and then `CLOSED`.
    RefusedErrorCloses, "refused-error-closes", "a refused MCONNECT prints ERROR and CLOSED";
    /// `STATE:` without a blank, as the manual has it.
    StateNoBlank, "state-no-blank", "STATE: has no blank behind the colon";
    /// A lost bearer is announced by `+PDP DEACT`, each time in another spelling.
    PdpDeact, "pdp-deact", "a lost bearer prints +PDP DEACT, in three spellings by turns";
    /// A lost bearer closes the connection with a word.
    BearerCloses, "bearer-closes", "a lost bearer prints CLOSED as well";
    /// Messages are kept in the table until the host chooses otherwise.
    CachedByDefault, "cached-by-default", "received messages are cached from the start";
    /// Cached messages are printed without quotes around the topic.
    CachedUnquoted, "cached-unquoted", "cached messages are printed as +MSUB: t,6 byte,...";
    /// The same without a blank after the colon, and with an empty line between messages.
    CachedTight, "cached-tight", "cached messages are printed as +MSUB:t,6 byte,...";
    /// Cached messages are printed by age and not by slot.
    CachedByAge, "cached-by-age", "cached messages are printed oldest first, not by slot";
    /// MQTTSTATU answers `ERROR` before the first connection.
    StatuError, "statu-error", "AT+MQTTSTATU answers ERROR before the first connection";
    /// MDISCONNECT breaks off without a DISCONNECT, so that the will is published.
    WillOnDisconnect, "will-on-disconnect", "AT+MDISCONNECT has the broker publish the will";
    /// `AT+CEREG?` is answered by a `+CGREG` line.
    CeregSaysCgreg, "cereg-says-cgreg", "AT+CEREG? is answered by a +CGREG line";
    /// `RDY` comes twice.
    RdyTwice, "rdy-twice", "RDY is printed twice";
    /// No boot line and no `RDY`, as on a USB port that comes too late to see them.
    QuietBoot, "quiet-boot", "a restart prints no boot line and no RDY (USB)";
    /// In the first 30 s after a start commands are not supported (4).
    EarlyCme4, "early-cme4", "commands answer +CME ERROR: 4 in the first 30 s";
    /// The first questions for the SIM are answered by failure, failure, busy.
    SimBusy, "sim-busy", "AT+CPIN? fails three times before the SIM is ready";
    /// The modem takes eight seconds more to boot and ten more to register.
    SlowBoot, "slow-boot", "8 s more to boot, 10 s more to register";
    /// The year of `+NITZ` has two digits.
    NitzShortYear, "nitz-short-year", "+NITZ with a year of two digits";
    /// The last field of `+NITZ` is a blank.
    NitzEmptyField, "nitz-empty-field", "+NITZ with an empty last field";
    /// A missing file is an unknown error (100).
    MissingFile100, "missing-file-100", "a missing file answers 100 instead of 62";
    /// Listing an empty directory is an error (old 724).
    EmptyDirectoryError, "empty-directory-error", "FSLS of an empty directory answers ERROR";
    /// `AT+SSLCFG="cacert"` is refused.
    NoCacert, "no-cacert", "AT+SSLCFG=\"cacert\" is refused";
    /// Received payloads lose their last byte on the way to the host (724 before V401857).
    LostPayloadByte, "lost-payload-byte", "received payloads lose their last byte (old 724)";
    /// `AT+CIPSHUT` answers `OK`, as one example of the manual has it.
    CipshutOk, "cipshut-ok", "AT+CIPSHUT answers OK instead of SHUT OK";
    /// Errors are a bare `ERROR` until the host chooses otherwise.
    PlainErrors, "plain-errors", "errors are ERROR without a number until AT+CMEE=1";
}
