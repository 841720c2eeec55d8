//! The texts of the link page in five languages.

/// The texts in one language.
pub(super) struct Words {
    /// The language tag, also for the `lang` attribute.
    pub(super) tag: &'static str,
    /// The heading before the button is pressed.
    pub(super) ask: &'static str,
    /// The text below it: when to press the button.
    pub(super) ask_more: &'static str,
    /// The label of the button.
    pub(super) button: &'static str,
    /// The text for browsers without scripts, and for a URL without its secret.
    pub(super) incomplete: &'static str,
    /// The heading after an approval.
    pub(super) approved: &'static str,
    /// The text after an approval.
    pub(super) approved_more: &'static str,
    /// The heading in a browser other than the one that asked.
    pub(super) other_browser: &'static str,
    /// The text below that heading.
    pub(super) other_browser_more: &'static str,
    /// The heading for a closed verification and for an unknown link.
    pub(super) over: &'static str,
    /// The text below that heading.
    pub(super) over_more: &'static str,
    /// The heading when a limit is reached or the service is unavailable.
    pub(super) later: &'static str,
    /// The text below that heading.
    pub(super) later_more: &'static str,
}

const ALL: [Words; 5] = [
    Words {
        tag: "en",
        ask: "Do you want to confirm?",
        ask_more: "Press the button only if you asked for this yourself, just now.",
        button: "Confirm",
        incomplete: "This page cannot read its address. Open the link from your mail once more, or type the code from the mail where you asked for it.",
        approved: "Confirmed",
        approved_more: "You can close this page and go on where you began.",
        other_browser: "This is not the browser in which you began",
        other_browser_more: "Open the link in that browser, or type the code from the mail there.",
        over: "This link does not work any more",
        over_more: "It was used before, its time is over, or a newer one took its place. If you still need it, ask again where you began.",
        later: "That did not work just now",
        later_more: "Nothing is lost. Wait a moment, and open the link from your mail once more.",
    },
    Words {
        tag: "nl",
        ask: "Wilt u dit bevestigen?",
        ask_more: "Druk alleen op de knop als u hier zelf zojuist om hebt gevraagd.",
        button: "Bevestigen",
        incomplete: "Deze pagina kan haar adres niet lezen. Open de link uit uw e-mail nog een keer, of vul de code uit de e-mail in waar u erom hebt gevraagd.",
        approved: "Bevestigd",
        approved_more: "U kunt deze pagina sluiten en verdergaan waar u was begonnen.",
        other_browser: "Dit is niet de browser waarin u bent begonnen",
        other_browser_more: "Open de link in die browser, of vul daar de code uit de e-mail in.",
        over: "Deze link werkt niet meer",
        over_more: "Hij is al gebruikt, de tijd is om, of er is een nieuwere. Hebt u hem nog nodig, vraag er dan opnieuw om waar u was begonnen.",
        later: "Dat lukte nu even niet",
        later_more: "Er is niets verloren. Wacht even en open de link uit uw e-mail nog een keer.",
    },
    Words {
        tag: "de",
        ask: "Möchten Sie das bestätigen?",
        ask_more: "Drücken Sie nur, wenn Sie das gerade selbst angefordert haben.",
        button: "Bestätigen",
        incomplete: "Diese Seite kann ihre Adresse nicht lesen. Öffnen Sie den Link aus Ihrer E-Mail noch einmal, oder geben Sie den Code aus der E-Mail dort ein, wo Sie ihn angefordert haben.",
        approved: "Bestätigt",
        approved_more: "Sie können diese Seite schließen und dort weitermachen, wo Sie begonnen haben.",
        other_browser: "Das ist nicht der Browser, in dem Sie begonnen haben",
        other_browser_more: "Öffnen Sie den Link in jenem Browser, oder geben Sie dort den Code aus der E-Mail ein.",
        over: "Dieser Link gilt nicht mehr",
        over_more: "Er wurde schon benutzt, seine Zeit ist um, oder es gibt einen neueren. Wenn Sie ihn noch brauchen, fordern Sie dort einen neuen an, wo Sie begonnen haben.",
        later: "Das hat gerade nicht geklappt",
        later_more: "Es ist nichts verloren. Warten Sie einen Augenblick, und öffnen Sie den Link aus Ihrer E-Mail noch einmal.",
    },
    Words {
        tag: "es",
        ask: "¿Quiere confirmarlo?",
        ask_more: "Pulse el botón solo si usted mismo lo ha pedido ahora.",
        button: "Confirmar",
        incomplete: "Esta página no puede leer su dirección. Abra otra vez el enlace de su correo, o escriba el código del correo donde lo pidió.",
        approved: "Confirmado",
        approved_more: "Puede cerrar esta página y seguir donde empezó.",
        other_browser: "Este no es el navegador en el que empezó",
        other_browser_more: "Abra el enlace en aquel navegador, o escriba allí el código del correo.",
        over: "Este enlace ya no funciona",
        over_more: "Ya se usó, su tiempo ha terminado o hay otro más nuevo. Si todavía lo necesita, pida otro donde empezó.",
        later: "Ahora mismo no ha funcionado",
        later_more: "No se ha perdido nada. Espere un momento y abra otra vez el enlace de su correo.",
    },
    Words {
        tag: "fr",
        ask: "Voulez-vous confirmer ?",
        ask_more: "Appuyez seulement si vous l'avez demandé vous-même à l'instant.",
        button: "Confirmer",
        incomplete: "Cette page ne peut pas lire son adresse. Ouvrez encore une fois le lien de votre e-mail, ou saisissez le code de l'e-mail là où vous l'avez demandé.",
        approved: "Confirmé",
        approved_more: "Vous pouvez fermer cette page et continuer là où vous avez commencé.",
        other_browser: "Ce n'est pas le navigateur dans lequel vous avez commencé",
        other_browser_more: "Ouvrez le lien dans ce navigateur-là, ou saisissez-y le code de l'e-mail.",
        over: "Ce lien ne fonctionne plus",
        over_more: "Il a déjà servi, son temps est écoulé, ou un plus récent l'a remplacé. Si vous en avez encore besoin, demandez-en un autre là où vous avez commencé.",
        later: "Cela n'a pas marché cette fois",
        later_more: "Rien n'est perdu. Attendez un instant, puis ouvrez encore une fois le lien de votre e-mail.",
    },
];

/// The texts in the first language of `Accept-Language` that we have; else in the default language; else in English.
pub(super) fn words(accepted: &str, default: &str) -> &'static Words {
    let ranges = accepted
        .split(',')
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    let of = |tag: &str| {
        ALL.iter().find(|words| {
            tag.split('-')
                .next()
                .is_some_and(|tag| tag.eq_ignore_ascii_case(words.tag))
        })
    };
    ranges.chain([default]).find_map(of).unwrap_or(&ALL[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_spoken_to_in_its_language() {
        let tag = |accepted, default| words(accepted, default).tag;
        assert_eq!(tag("nl-NL,nl;q=0.9,en;q=0.8", "de"), "nl");
        assert_eq!(tag("sv, FR-be;q=0.5", "de"), "fr");
        assert_eq!(
            (tag("sv", "de"), tag("", "es"), tag("*", "sv")),
            ("de", "es", "en")
        );
    }
}
