//! What the customer may be told about a verification, in their language.

use super::language::Language;

/// What there is to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explanation<'a> {
    /// The code is on its way or has arrived.
    Pending {
        /// How many digits it has.
        digits: u8,
        /// The address as it may be shown.
        masked: &'a str,
    },
    /// The code waits in the customer's app, which shows it once it is opened.
    InApp {
        /// How many digits it has.
        digits: u8,
    },
    /// The right code was given.
    Approved,
    /// The attempts are spent.
    Rejected,
    /// The customer said "not me".
    Denied,
    /// Withdrawn, or replaced by a later one.
    Canceled,
    /// The time is up.
    Expired,
    /// The store lost what it knew about it.
    Lost,
    /// It is too early for the next try.
    WaitBeforeNext,
}

pub(super) fn explain(language: Language, explanation: Explanation<'_>) -> String {
    match language {
        Language::Nl => dutch(explanation),
        Language::De => german(explanation),
        Language::En => english(explanation),
        Language::Es => spanish(explanation),
        Language::Fr => french(explanation),
    }
}

fn dutch(explanation: Explanation<'_>) -> String {
    let fixed = match explanation {
        Explanation::Pending { digits, masked } => {
            return format!(
                "We hebben een code van {digits} cijfers gestuurd naar {masked}. Niemand zal u ooit om die code vragen."
            );
        }
        Explanation::InApp { digits } => {
            return format!(
                "Er staat een code van {digits} cijfers in uw app: open de app om hem te zien. Niemand zal u ooit om die code vragen."
            );
        }
        Explanation::Approved => "U hebt bevestigd dat u het bent.",
        Explanation::Rejected => "Er is te vaak een verkeerde code ingevuld. Begin opnieuw.",
        Explanation::Denied => "U hebt laten weten dat u dit niet was. Er is niets goedgekeurd.",
        Explanation::Canceled => "Deze controle is stopgezet. De code werkt niet meer.",
        Explanation::Expired => "De tijd is om en de code werkt niet meer. Begin opnieuw.",
        Explanation::Lost => {
            "Er is bij ons iets misgegaan en de code werkt niet meer. Begin opnieuw."
        }
        Explanation::WaitBeforeNext => "Wacht even voordat u het opnieuw probeert.",
    };
    fixed.to_owned()
}

fn german(explanation: Explanation<'_>) -> String {
    let fixed = match explanation {
        Explanation::Pending { digits, masked } => {
            return format!(
                "Wir haben einen Code mit {digits} Ziffern an {masked} geschickt. Niemand wird Sie jemals nach diesem Code fragen."
            );
        }
        Explanation::InApp { digits } => {
            return format!(
                "In Ihrer App steht ein Code mit {digits} Ziffern: Öffnen Sie die App, um ihn zu sehen. Niemand wird Sie jemals nach diesem Code fragen."
            );
        }
        Explanation::Approved => "Sie haben bestätigt, dass Sie es sind.",
        Explanation::Rejected => {
            "Es wurde zu oft ein falscher Code eingegeben. Bitte beginnen Sie von vorn."
        }
        Explanation::Denied => {
            "Sie haben mitgeteilt, dass Sie das nicht waren. Es wurde nichts freigegeben."
        }
        Explanation::Canceled => "Diese Prüfung wurde abgebrochen. Der Code gilt nicht mehr.",
        Explanation::Expired => {
            "Die Zeit ist abgelaufen und der Code gilt nicht mehr. Bitte beginnen Sie von vorn."
        }
        Explanation::Lost => {
            "Bei uns ist etwas schiefgegangen und der Code gilt nicht mehr. Bitte beginnen Sie von vorn."
        }
        Explanation::WaitBeforeNext => {
            "Bitte warten Sie einen Moment, bevor Sie es noch einmal versuchen."
        }
    };
    fixed.to_owned()
}

fn english(explanation: Explanation<'_>) -> String {
    let fixed = match explanation {
        Explanation::Pending { digits, masked } => {
            return format!(
                "We sent a code of {digits} digits to {masked}. Nobody will ever ask you to tell it."
            );
        }
        Explanation::InApp { digits } => {
            return format!(
                "There is a code of {digits} digits in your app: open it to see the code. Nobody will ever ask you to tell it."
            );
        }
        Explanation::Approved => "You have confirmed that it is you.",
        Explanation::Rejected => "A wrong code was entered too often. Please start again.",
        Explanation::Denied => "You told us that this was not you. Nothing was approved.",
        Explanation::Canceled => "This check was stopped. The code no longer works.",
        Explanation::Expired => "The time is up and the code no longer works. Please start again.",
        Explanation::Lost => {
            "Something went wrong on our side and the code no longer works. Please start again."
        }
        Explanation::WaitBeforeNext => "Please wait a moment before you try again.",
    };
    fixed.to_owned()
}

fn spanish(explanation: Explanation<'_>) -> String {
    let fixed = match explanation {
        Explanation::Pending { digits, masked } => {
            return format!(
                "Hemos enviado un código de {digits} cifras a {masked}. Nadie le pedirá nunca ese código."
            );
        }
        Explanation::InApp { digits } => {
            return format!(
                "En su aplicación hay un código de {digits} cifras: ábrala para verlo. Nadie le pedirá nunca ese código."
            );
        }
        Explanation::Approved => "Ha confirmado que es usted.",
        Explanation::Rejected => {
            "Se ha introducido demasiadas veces un código erróneo. Empiece de nuevo."
        }
        Explanation::Denied => "Nos ha indicado que no era usted. No se ha aprobado nada.",
        Explanation::Canceled => "Esta comprobación se ha detenido. El código ya no funciona.",
        Explanation::Expired => {
            "El tiempo se ha agotado y el código ya no funciona. Empiece de nuevo."
        }
        Explanation::Lost => {
            "Algo ha fallado por nuestra parte y el código ya no funciona. Empiece de nuevo."
        }
        Explanation::WaitBeforeNext => "Espere un momento antes de intentarlo de nuevo.",
    };
    fixed.to_owned()
}

fn french(explanation: Explanation<'_>) -> String {
    let fixed = match explanation {
        Explanation::Pending { digits, masked } => {
            return format!(
                "Nous avons envoyé un code de {digits} chiffres à {masked}. Personne ne vous demandera jamais ce code."
            );
        }
        Explanation::InApp { digits } => {
            return format!(
                "Un code de {digits} chiffres vous attend dans votre application : ouvrez-la pour le voir. Personne ne vous demandera jamais ce code."
            );
        }
        Explanation::Approved => "Vous avez confirmé que c'est bien vous.",
        Explanation::Rejected => "Un code erroné a été saisi trop souvent. Veuillez recommencer.",
        Explanation::Denied => "Vous avez indiqué que ce n'était pas vous. Rien n'a été approuvé.",
        Explanation::Canceled => "Cette vérification a été arrêtée. Le code ne fonctionne plus.",
        Explanation::Expired => {
            "Le délai est écoulé et le code ne fonctionne plus. Veuillez recommencer."
        }
        Explanation::Lost => {
            "Un problème est survenu de notre côté et le code ne fonctionne plus. Veuillez recommencer."
        }
        Explanation::WaitBeforeNext => "Veuillez patienter un instant avant de réessayer.",
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_state_has_a_sentence_of_its_own_in_every_language() {
        let masked = "a•••@e•••.org";
        let all = [
            Explanation::Pending { digits: 6, masked },
            Explanation::InApp { digits: 6 },
            Explanation::Approved,
            Explanation::Rejected,
            Explanation::Denied,
            Explanation::Canceled,
            Explanation::Expired,
            Explanation::Lost,
            Explanation::WaitBeforeNext,
        ];
        let mut seen = HashSet::new();
        for language in Language::ALL {
            for explanation in all {
                assert!(
                    seen.insert(explain(language, explanation)),
                    "{language:?} {explanation:?}"
                );
            }
            let pending = explain(language, all[0]);
            assert!(
                pending.contains(" 6 ") && pending.contains(masked),
                "{pending}"
            );
        }
    }
}
